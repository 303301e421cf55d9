// Package daemons holds tests of the real servers as processes: rkat serve and rkat-rpc, started, told to end, killed, and started again.
package daemons
