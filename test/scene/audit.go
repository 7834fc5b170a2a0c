// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"bufio"
	"encoding/json"
	"os"
	"time"
)

// Request is one request in the audit log of the API server.
type Request struct {
	At                              time.Time
	User, Pod, Verb, Resource, Name string
}

// Requests reads those that came in a time.
func (l *Local) Requests(from, to time.Time) ([]Request, error) {
	f, err := os.Open(l.AuditLog())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []Request
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Received time.Time `json:"requestReceivedTimestamp"`
			Verb     string    `json:"verb"`
			User     struct {
				Username string              `json:"username"`
				Extra    map[string][]string `json:"extra"`
			} `json:"user"`
			Object struct {
				Resource    string `json:"resource"`
				Subresource string `json:"subresource"`
				Name        string `json:"name"`
			} `json:"objectRef"`
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Received.Before(from) || !e.Received.Before(to) {
			continue // the last line may be half written
		}
		r := Request{At: e.Received, User: e.User.Username, Verb: e.Verb, Resource: e.Object.Resource, Name: e.Object.Name}
		if e.Object.Subresource != "" {
			r.Resource += "/" + e.Object.Subresource
		}
		if pods := e.User.Extra["authentication.kubernetes.io/pod-name"]; len(pods) > 0 {
			r.Pod = pods[0]
		}
		list = append(list, r)
	}
	return list, lines.Err()
}
