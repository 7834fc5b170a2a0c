// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tool holds what the programs under hack/ share: finding the clone, the cache outside it, locks, running
// other programs, and telling the person who waits what is going on.
package tool
