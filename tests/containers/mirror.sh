#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the Debian mirror that this machine uses.
set -euo pipefail
grep -hoE 'https?://[^ ]+/debian/?$' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n1
