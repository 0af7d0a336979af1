"""What the tests of pages share: is the HTML in order, and what does it refer to?"""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "source", "input"}


class Checker(HTMLParser):
    """Collects what a page refers to, and sees tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_startendtag(self, tag, attributes):
        self._note(attributes)

    def handle_starttag(self, tag, attributes):
        self._note(attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def _note(self, attributes):
        self.addresses += [value for name, value in attributes
                           if name in ("src", "href", "srcset")]
