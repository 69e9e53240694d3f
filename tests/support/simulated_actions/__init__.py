"""A simulation of GitHub Actions that runs workflow files on this machine.

Features that it does not support fail the test.
"""
