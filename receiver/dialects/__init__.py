"""The shapes of the providers' own APIs: a module each reads a submission and renders a job.

Pure functions: no I/O, no clock, no routes. They serve whoever speaks such an API to a client.
"""
