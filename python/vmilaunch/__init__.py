# SPDX-License-Identifier: Apache-2.0
"""vmilaunch from Python. `from vmilaunch import record` reads what a launch left behind."""
