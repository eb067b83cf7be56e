# SPDX-License-Identifier: Apache-2.0
"""Random texts of user interfaces: labels, names, subjects, amounts, dates, file names.

Words come from the lists of one split, and names of people are divided by name. Common labels ("Save", "Settings") are
in both splits.
"""

from __future__ import annotations

import random

from finesight.data.builders.phrases import MONTHS
from finesight.data.sources.words import WordLists
from finesight.data.split import split_of

__all__ = ["ACTIONS", "COLUMNS", "FIELDS", "MENU", "OPTIONS", "TABS", "Content"]


def _list(text: str) -> list[str]:
    """Entries between semicolons."""
    return [entry.strip() for entry in " ".join(text.split()).split(";")]


FIRST = _list("""
Ada; Amir; Ana; Anders; Aiko; Ben; Bela; Carla; Chen; Clara; Dario; Diego; Dora; Elena; Emil; Esra; Farah; Felix;
Finn; Greta; Hana; Hugo; Ida; Igor; Ines; Ivan; Jana; Jonas; Julia; Kai; Karim; Kofi; Lara; Lena; Leo; Lin; Luca;
Maja; Marco; Mei; Mia; Milan; Nadia; Nils; Noor; Olga; Omar; Oscar; Paula; Pedro; Petra; Quinn; Rahel; Ravi; Rosa;
Ruth; Sami; Sara; Sofia; Sven; Tara; Theo; Tom; Uma; Vera; Viktor; Wanda; Yara; Yusuf; Zoe
""")
LAST = _list("""
Abbas; Adler; Almeida; Becker; Berg; Blom; Bruno; Castro; Chan; Costa; Dahl; Diaz; Eriksen; Falk; Ferrari; Fischer;
Garcia; Haas; Hansen; Ito; Jansen; Kaya; Keller; Khan; Kim; Koch; Kowalski; Lang; Larsen; Lopez; Maier; Mendes;
Meyer; Moreau; Mori; Nagy; Novak; Okafor; Olsen; Park; Patel; Peters; Petrov; Ramos; Reyes; Ricci; Rossi; Roy;
Santos; Sato; Schmidt; Silva; Singh; Smith; Sousa; Tanaka; Torres; Vogel; Wagner; Weber; Wong; Yilmaz; Young;
Ziegler
""")
NAMES_HELDOUT = 0.2
ACTIONS = _list("""
Save; Cancel; Delete; Edit; Submit; Send; Apply; Reset; Close; Continue; Back; Next; Confirm; Add; Remove; Update;
Export; Import; Share; Copy link; Download; Upload; Print; Archive; Duplicate; Rename; Move; New; Create; Open;
View all; Show more; Learn more; Details; Reply; Forward; Follow; Subscribe; Sign out; Retry; Undo; Discard;
Accept; Decline; Done; Skip; Try again; Install; Connect; Publish; Preview; Refresh; Search; Filter; Sort; Invite;
Join; Book now; Buy now; Add to cart; Checkout; Pay; Start; Stop; Get started; Contact us; Select all
""")
MENU = _list("""
Home; Dashboard; Inbox; Messages; Calendar; Tasks; Projects; Files; Reports; Analytics; Customers; Orders;
Products; Invoices; Payments; Team; Users; Settings; Help; Support; Profile; Account; Billing; Security;
Notifications; Activity; History; Favorites; Downloads; Photos; Music; Videos; Documents; Trash; Drafts; Sent;
Archive; Spam; Starred; Explore; Library; News; Maps; Weather; Wallet; Contacts; Groups; Events; Notes;
Integrations; Overview; Shipping; Discounts; Pricing; Blog; Docs; About
""")
TABS = _list("""
General; Details; Comments; Overview; Members; Privacy; Appearance; Advanced; Day; Week; Month; Year; All; Active;
Done; Open; Closed; Recent; Popular; Unread; Today; Upcoming; Past; Shared; Mine; Public; Following; For you;
Reviews; Questions; Photos; Stats; Text; Layout; Insert; View
""")
FIELDS = _list("""
First name; Last name; Email; Phone; Company; City; Address; Postal code; Country; Username; Website; Job title;
Department; Subject; Title; Amount; Quantity; Start date; End date; Reference; Notes; Card number; Nickname;
Location; Language; Currency; Time zone; Category; Project; Order number; Tax ID; Account name
""")
OPTIONS = _list("""
Email alerts; Dark mode; Auto-save; Location; Push messages; Sounds; Wi-Fi; Bluetooth; Airplane mode; Weekly
summary; Two-step login; Show avatar; Public profile; Sync contacts; Data saver; Auto-update; Spell check; Read
receipts; Compact view; Large text; Vibration; Backup; Remember me; Share usage data; Autoplay; Subtitles; High
contrast; Night light; Offline mode; Smart replies; Desktop alerts; Birthday reminders; Keep me signed in;
Newsletter
""")
COLUMNS = ("Name", "Status", "Amount", "Date", "Owner", "City", "Type", "Size", "Role", "Total")
STATUS = (
    "Active",
    "Pending",
    "Paid",
    "Open",
    "Closed",
    "Draft",
    "Shipped",
    "Failed",
    "Late",
    "New",
)
CURRENCIES = ("$", "€", "£", "$", "€")
FILE_TYPES = (
    "pdf",
    "docx",
    "xlsx",
    "png",
    "jpg",
    "zip",
    "txt",
    "csv",
    "mp3",
    "mp4",
    "pptx",
    "html",
)


class Content:
    """Draws texts.

    Args:
        rng: the source of randomness.
        words: word lists of one split.
    """

    def __init__(self, rng: random.Random, words: WordLists) -> None:
        self.rng = rng
        self._words = words
        self._first = [name for name in FIRST if split_of(name, NAMES_HELDOUT) == words.split]
        self._last = [name for name in LAST if split_of(name, NAMES_HELDOUT) == words.split]
        self.currency = rng.choice(CURRENCIES)

    def some(self, pool: list[str], low: int, high: int) -> list[str]:
        """Different entries of a list, `low` to `high` of them."""
        return self.rng.sample(pool, min(len(pool), self.rng.randint(low, high)))

    def word(self, low: int = 3, high: int = 9) -> str:
        """An English word."""
        return self._words.word(self.rng, "en", low, high)

    def title(self, low: int = 1, high: int = 3) -> str:
        """A few words that begin with a capital letter."""
        text = " ".join(self.word() for _ in range(self.rng.randint(low, high)))
        return text[:1].upper() + text[1:]

    def sentence(self, low: int = 4, high: int = 9) -> str:
        """Some words with a full stop."""
        return self.title(low, high) + "."

    def label(self, pool: list[str]) -> str:
        """A common label, or in a third of the draws one of other words."""
        return self.rng.choice(pool) if self.rng.random() < 0.67 else self.title(1, 2)

    def labels(self, pool: list[str], low: int, high: int) -> list[str]:
        """Different labels, `low` to `high` of them, and never fewer than `low`."""
        found: dict[str, None] = {}
        count = self.rng.randint(low, max(low, high))
        while len(found) < count:
            found[self.label(pool)] = None
        return list(found)

    def person(self) -> str:
        """First and last name."""
        return f"{self.rng.choice(self._first)} {self.rng.choice(self._last)}"

    def email(self) -> str:
        """An address."""
        first, last = self.rng.choice(self._first), self.rng.choice(self._last)
        return f"{first}.{last}@{self.word(4, 7)}.{self.rng.choice(('com', 'org', 'net'))}".lower()

    def price(self) -> str:
        """An amount with the currency of this screen."""
        value = self.rng.choice((9.99, 99.99, 999.99, 5000.0)) * self.rng.random() + 0.5
        return f"{self.currency}{value:,.2f}"

    def date(self) -> str:
        """A day in one of several formats."""
        rng = self.rng
        year, month, day = rng.randint(2015, 2029), rng.randint(1, 12), rng.randint(1, 28)
        name = MONTHS[month - 1]
        return rng.choice((f"{name} {day}", f"{day} {name} {year}", f"{year}-{month:02}-{day:02}"))

    def time(self) -> str:
        """A time of day."""
        return f"{self.rng.randrange(24):02}:{self.rng.randrange(60):02}"

    def file_name(self) -> str:
        """A file name with its extension."""
        joint = self.rng.choice("_-")
        stem = joint.join(self.word(3, 7) for _ in range(self.rng.randint(1, 2)))
        return f"{stem}.{self.rng.choice(FILE_TYPES)}"

    def number(self) -> str:
        """A whole number or a share."""
        value = self.rng.randrange(10 ** self.rng.randint(1, 5))
        return self.rng.choice((f"{value:,}", f"{value:,}", f"{self.rng.randint(1, 99)}%"))

    def value(self, field: str) -> str:
        """What somebody might enter into a field."""
        kind = field.lower()
        if "mail" in kind:
            return self.email()
        if "name" in kind:
            return self.person()
        if any(word in kind for word in ("number", "phone", "code", "quantity", "id")):
            return str(self.rng.randrange(1000, 999_999))
        if "date" in kind:
            return self.date()
        return self.price() if "amount" in kind else self.title(1, 2)

    def cell(self, column: str) -> str:
        """An entry of a column of a table."""
        rng = self.rng
        if column == "Status":
            return rng.choice(STATUS)
        if column == "Size":
            return f"{rng.randint(1, 999)} {rng.choice(('KB', 'MB'))}"
        if column in ("Amount", "Total"):
            return self.price()
        if column in ("Name", "Owner"):
            return self.person()
        return self.date() if column == "Date" else self.title(1, 1)
