"""TLS as the flags want it: for those who call us, and for our own calls to the other nodes."""

from __future__ import annotations

import ssl

from acme_manager.config.model import Flags
from acme_manager.errors import Complaint, ConfigInvalid


def server_context(flags: Flags) -> ssl.SSLContext | None:
    """What to serve with, None for no TLS. With a client CA only its clients get in. Raises ConfigInvalid."""
    if not flags.tls_cert_file and not flags.tls_key_file:
        if flags.tls_client_ca_file:
            raise wrong_flag("-server.tls-client-ca-file", "needs -server.tls-cert-file and -server.tls-key-file too")
        return None
    if not flags.tls_cert_file or not flags.tls_key_file:
        raise wrong_flag("-server.tls-cert-file", "and -server.tls-key-file must be given together")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    _load_chain(context, flags)
    if flags.tls_client_ca_file:
        _load_client_ca(context, flags)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def peer_context(flags: Flags) -> ssl.SSLContext:
    """What to call another node with: always verified, and with our own certificate where we have one.

    Who may call the nodes decides who the nodes are: with a client CA nothing else is trusted, not even the system's
    roots. Raises ConfigInvalid.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if flags.tls_client_ca_file:
        _load_client_ca(context, flags)
    else:
        context.load_default_certs()
    if flags.tls_cert_file and flags.tls_key_file:
        _load_chain(context, flags)
    return context


def wrong_flag(flag: str, message: str) -> ConfigInvalid:
    """A flag that can't be used."""
    return ConfigInvalid("command line", [Complaint(flag, message)])


def _load_chain(context: ssl.SSLContext, flags: Flags) -> None:
    try:
        context.load_cert_chain(flags.tls_cert_file, flags.tls_key_file)
    except OSError as error:  # ssl.SSLError is one
        files = f"'{flags.tls_cert_file}' and '{flags.tls_key_file}'"
        raise wrong_flag("-server.tls-cert-file", f"can't use {files}: {error}") from error


def _load_client_ca(context: ssl.SSLContext, flags: Flags) -> None:
    try:
        context.load_verify_locations(flags.tls_client_ca_file)
    except OSError as error:
        raise wrong_flag("-server.tls-client-ca-file", f"can't use '{flags.tls_client_ca_file}': {error}") from error
