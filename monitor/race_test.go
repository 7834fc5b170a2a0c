// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package monitor_test

// raced: with the race detector a program needs several times its memory and time.
const raced = true
