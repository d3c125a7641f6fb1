// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"time"
)

// A question to the server, with its end.
func ctx() context.Context {
	c, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	time.AfterFunc(6*time.Second, cancel)
	return c
}
