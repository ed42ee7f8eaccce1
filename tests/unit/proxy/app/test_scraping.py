from proxy.app.scraping import scraped
from proxy.process.siblings import Mailbox, Siblings


async def test_a_scrape_has_what_every_worker_says() -> None:
    """And tells who said nothing."""
    mailboxes = (Mailbox.new(), Mailbox.new())
    text = (await scraped(Siblings(2, mailboxes), lambda: b"a 1.0\n")).decode()
    for mailbox in mailboxes:
        mailbox.close()
    assert 'a{worker="2"} 1.0' in text
    assert 'detent_worker_up{worker="1"} 0.0' in text
