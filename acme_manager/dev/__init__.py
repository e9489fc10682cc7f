"""Development mode (`-dev`): a store, a CA and a DNS server of our own around the very server that runs in production.

`run.serve_dev` nests the parts; each has its module. Nothing below `dev` knows that this mode exists: it writes a
configuration, loads it as any other, and hands it to `app.serve`.
"""
