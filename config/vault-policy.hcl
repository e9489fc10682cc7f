# What ACME Manager may do in Vault or OpenBao, and nothing else: attach this to its AppRole.
#
# It fits the configuration
#     storage.vault.secret_engine:      secret          (a KV version 2 engine)
#     storage.vault.certificate_prefix: certificates
#     storage.vault.token_prefix:       tokens
# With other names, change the paths accordingly; note that token_prefix is "token" when it is not configured.
# In KV version 2 every kind of access has its own path below the engine (data/, metadata/, destroy/), and `list` on
# data/ grants nothing: a policy with data/ paths alone lets nobody find certificates at start or remove them for good.

# Read, write and (softly) delete secrets.
path "secret/data/certificates/*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "secret/data/tokens/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# List the top level. The pattern with /* below does not cover the folder itself.
path "secret/metadata/certificates" {
  capabilities = ["list"]
}
path "secret/metadata/tokens" {
  capabilities = ["list"]
}

# List folders below, read the history of a secret, remove a secret with its history.
path "secret/metadata/certificates/*" {
  capabilities = ["list", "read", "delete"]
}
path "secret/metadata/tokens/*" {
  capabilities = ["list", "read", "delete"]
}

# Destroy the values of old versions.
path "secret/destroy/certificates/*" {
  capabilities = ["update"]
}
path "secret/destroy/tokens/*" {
  capabilities = ["update"]
}

# Read secrets of DNS providers, where dns_credentials in the configuration names such paths (docs/dns.md).
# path "secret/data/dns/*" {
#   capabilities = ["read"]
# }

# Prolong our own token, and revoke it when the server stops. Vault's "default" policy grants both already; they are
# here for roles with token_no_default_policy=true.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
