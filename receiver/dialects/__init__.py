"""The shapes of the providers' own APIs: a module each reads a submission and renders a job.

Pure functions: no I/O, no clock, no routes. The sandboxes and the routes for clients share them.
"""
