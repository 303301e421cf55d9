// Command bare is the smallest program that links net/http: what rkat version is measured against.
package main

import (
	"fmt"
	"net/http"
)

func main() { fmt.Println(http.DefaultServeMux != nil) }
