# SPDX-License-Identifier: Apache-2.0
"""Reads the records (HDF5) that vmilaunch leaves, and tabulates, compares and plots them."""
