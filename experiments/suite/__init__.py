# SPDX-License-Identifier: Apache-2.0
"""The experiments: each runs vmilaunch and its parts in a cluster in a box, and keeps what was measured as HDF5."""
