"""The Storage port on Vault KV v2 and in memory, and every path we use in either."""
