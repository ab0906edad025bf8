"""Mails handed to a real SMTP server."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from commands.mailing import Mail, MailAway, MailDeferred, MailRefused
from infra.providers.smtp import SmtpMailer
from tests.servers.mail import MailServer

MAIL = Mail(UUID(int=7), "ana@example.com", "Your booking at Hôtel d'Azur", "Dear guest,\n\nà bientôt\n")
SENDER = "Nightledger <bookings@example.org>"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


async def test_a_mail_arrives_as_it_was_written(server: MailServer) -> None:
    await SmtpMailer(server.url, SENDER).send(MAIL)
    [message] = server.messages
    assert message["To"] == MAIL.address
    assert message["Subject"] == MAIL.subject
    assert message["From"] == SENDER
    assert message["Message-ID"] == f"<{MAIL.mail_id}@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == MAIL.text.splitlines()


async def test_a_recipient_that_is_refused_for_good(server: MailServer) -> None:
    server.answers[MAIL.address] = "550 nobody of that name"
    with pytest.raises(MailRefused) as caught:
        await SmtpMailer(server.url, SENDER).send(MAIL)
    assert caught.value.code == 550
    assert MAIL.address not in str(caught.value), "what is noted names nobody"


async def test_a_recipient_that_is_taken_later(server: MailServer) -> None:
    server.answers[MAIL.address] = "450 try again"
    with pytest.raises(MailDeferred) as caught:
        await SmtpMailer(server.url, SENDER).send(MAIL)
    assert MAIL.address not in "".join(traceback.format_exception(caught.value)), "it is kept with dead letters"


@pytest.mark.parametrize("address", ["not an address", "a@b@c", "x\r\nBcc: everybody@example.com", ""])
async def test_what_is_no_address_is_refused_here(server: MailServer, address: str) -> None:
    with pytest.raises(MailRefused):
        await SmtpMailer(server.url, SENDER).send(replace(MAIL, address=address))
    assert not server.messages


async def test_a_server_that_is_about_to_close_is_away(server: MailServer) -> None:
    server.answers[MAIL.address] = "421 closing"
    with pytest.raises(MailAway):
        await SmtpMailer(server.url, SENDER).send(MAIL)


async def test_an_international_domain_is_written_to_as_every_server_knows_it(server: MailServer) -> None:
    await SmtpMailer(server.url, SENDER).send(replace(MAIL, address="ana@b\u00fccher.example.com"))
    assert [str(message["To"]) for message in server.messages] == ["ana@xn--bcher-kva.example.com"]


@pytest.mark.parametrize(
    "name", ["=?utf-8?q?x=0aBcc:_all=40example.com=0a=0a<h1>Pay</h1>?=", "=?utf-8?q?x=0d=0aBcc:_a=40b.c?="]
)
async def test_a_hotel_adds_nothing_to_a_mail_but_its_name(server: MailServer, name: str) -> None:
    """What looks like an encoded word would be decoded, and then be headers and a text of its own."""
    await SmtpMailer(server.url, SENDER).send(replace(MAIL, subject=f"Your booking at {name} is confirmed"))
    [message] = server.messages
    assert "Bcc" not in message
    assert name.replace("=?", "= ?") in message["Subject"]
    assert message.get_content().splitlines() == MAIL.text.splitlines()


async def test_a_server_that_is_away(server: MailServer) -> None:
    server.stop()
    with pytest.raises(MailAway):
        await SmtpMailer(server.url, SENDER).send(MAIL)
    server.start()
    await SmtpMailer(server.url, SENDER).send(MAIL)
    assert len(server.messages) == 1


async def test_a_password_is_not_told_without_tls(server: MailServer) -> None:
    url = server.url.replace("smtp://", "smtp://ana:secret@")
    with pytest.raises(MailAway) as caught:
        await SmtpMailer(url, SENDER).send(MAIL)
    assert "secret" not in str(caught.value)
    assert not server.messages
