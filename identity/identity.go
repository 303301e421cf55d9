// Package identity says which model a session talks to, what that model can do, and how a request for another one is resolved.
package identity
