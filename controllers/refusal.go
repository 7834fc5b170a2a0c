// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// refused says that the API server will not take an object as things are: by
// validation, by admission, or because a webhook that must answer does not (an
// internal error). Whatever else goes wrong passes by itself.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) ||
		apierrors.IsInternalError(err)
}
