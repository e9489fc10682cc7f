"""RFC 8555 and RFC 8738 on top of the message objects of the acme and josepy libraries."""
