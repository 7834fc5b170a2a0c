// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// refused says that the API server will not take an object as things are: by
// validation, by admission, or because a webhook that must answer does not (an
// internal error). Whatever else goes wrong passes by itself.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) ||
		apierrors.IsInternalError(err)
}

// exceedsQuota says that an object is refused only because others are there. The
// API server has no reason of its own for it.
func exceedsQuota(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota")
}
