// Package sdk holds a client that behaves as the TypeScript and Python SDKs of contract 0.6.29 do, and is as strict as the strictest of
// them, and tests that drive the real rkat-rpc with it. It was written from the contract and shares no code with the server: what the
// server sends is read here for the first time.
package sdk
