"""`acme-manager-client`: keeps the certificates of one host right, and never loses one."""
