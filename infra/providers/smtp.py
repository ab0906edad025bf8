"""A mail server over SMTP (RFC 5321), by Python's own client, in a thread of its own for each mail."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

from email_validator import validate_email

from commands.mailing import Mail, MailAway, MailDeferred, MailRefused

_TIMEOUT_SECONDS = 10.0
_PORTS = {"smtp": 25, "smtps": 465}
_SYNTAX_ERROR = 501
_PERMANENT = range(500, 600)
_CLOSING = 421


class SmtpMailer:
    """``url`` is ``smtp://[user:password@]host[:port]``, or ``smtps://`` for TLS from the beginning.

    With ``smtp`` TLS is used where the server offers it (STARTTLS), and a name and password never without it.
    ``sender`` is an address, or ``Name <address>``.
    """

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or "localhost"
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "")
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """See Mailer."""
        try:
            message = self._message(mail)
        except ValueError as error:  # an address that mail cannot have
            raise MailRefused(_SYNTAX_ERROR) from error
        await asyncio.to_thread(self._hand_over, message)

    def _message(self, mail: Mail) -> EmailMessage:
        found = validate_email(mail.address, check_deliverability=False)
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        message = EmailMessage()
        message["Message-ID"] = f"<{mail.mail_id}@{domain}>"
        message["From"] = self._sender
        message["To"] = found.ascii_email or found.normalized
        # "=?" would be taken for an encoded word (RFC 2047), and what it decodes to for further headers.
        message["Subject"] = mail.subject.replace("=?", "= ?")
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is answered to us
        message.set_content(mail.text)
        return message

    def _hand_over(self, message: EmailMessage) -> None:
        with self._connected() as server:
            try:
                server.send_message(message)
            except smtplib.SMTPNotSupportedError as error:  # an address beyond ASCII, and a server without SMTPUTF8
                raise MailRefused(_SYNTAX_ERROR) from error
            except smtplib.SMTPRecipientsRefused as error:
                [(code, _)] = error.recipients.values()
                raise _not_taken(code) from None  # the error names the recipient, and is kept with dead letters
            except smtplib.SMTPDataError as error:
                raise _not_taken(error.smtp_code) from error
            except (smtplib.SMTPException, OSError) as error:  # also a sender that it does not take
                raise _away(error) from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        try:
            if self._scheme == "smtps":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context
                )
            else:
                server = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        except (smtplib.SMTPException, OSError) as error:
            raise _away(error) from error
        with closing(server):
            try:
                server.ehlo()
                if self._scheme == "smtp" and (self._user or server.has_extn("starttls")):
                    server.starttls(context=context)
                if self._user:
                    server.login(self._user, self._password)
            except (smtplib.SMTPException, OSError) as error:
                raise _away(error) from error
            yield server
            with suppress(smtplib.SMTPException, OSError):  # what was handed over is taken, whatever the farewell
                server.quit()


def _not_taken(code: int) -> Exception:
    if code == _CLOSING:
        return MailAway(f"SMTP: the server answers {code}")
    return MailRefused(code) if code in _PERMANENT else MailDeferred(f"SMTP: the server answers {code}")


def _away(error: Exception) -> MailAway:
    return MailAway(f"SMTP: {type(error).__name__}: {error}")
