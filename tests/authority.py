"""A certificate authority of a test: made anew each time by the openssl program."""

import subprocess


def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder, self.name = folder, name
        self.certificate, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, alternative_names, key_type="ec"):
        """Files name.crt and name.key, replaced as a whole when they are there."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key_type == "ec" else ["rsa:2048"]
        new_key, new_certificate = self.folder / f"{name}.key.new", self.folder / f"{name}.crt.new"
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout", new_key, "-out", request)
        extensions.write_text(f"subjectAltName={alternative_names}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", "2", "-extfile", extensions, "-out", new_certificate)
        new_key.rename(key)
        new_certificate.rename(certificate)
        return certificate, key
