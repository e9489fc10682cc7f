"""ACME Manager: certificates from any ACME CA, kept in Vault, renewed in time."""

__version__ = "0.1.0"
