"""The TLS context of outgoing connections."""

import ssl
from pathlib import Path


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name, TLS 1.2 or newer.

    Trust comes from `ca_file` (PEM), or else from the paths compiled into OpenSSL; SSL_CERT_FILE
    and SSL_CERT_DIR of the environment are not read. With neither, every connection fails.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
        return context
    compiled = ssl.get_default_verify_paths()
    file, directory = Path(compiled.openssl_cafile), Path(compiled.openssl_capath)
    if file.is_file() or directory.is_dir():
        context.load_verify_locations(
            cafile=str(file) if file.is_file() else None,
            capath=str(directory) if directory.is_dir() else None,
        )
    return context
