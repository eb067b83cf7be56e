# SPDX-License-Identifier: Apache-2.0
"""Printed labels, products and sentences of documents by language, and how fields are asked for."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "COLUMNS",
    "COMPANY_ENDINGS",
    "FIELDS",
    "KEYS_OF",
    "LABELS",
    "LOCALES",
    "PAYMENTS",
    "PRODUCTS",
    "SENTENCES",
    "THANKS",
    "TITLES",
]

LOCALES: Mapping[str, str] = {
    "en": "en_US", "de": "de_DE", "fr": "fr_FR", "es": "es_ES", "it": "it_IT", "pt": "pt_PT",
}  # fmt: skip
"""Locale of names and addresses by language."""

LABELS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "date": {"en": ("Date",), "de": ("Datum",), "fr": ("Date",), "es": ("Fecha",), "it": ("Data",), "pt": ("Data",)},
    "time": {"en": ("Time",), "de": ("Uhrzeit",), "fr": ("Heure",), "es": ("Hora",), "it": ("Ora",), "pt": ("Hora",)},
    "receipt_number": {
        "en": ("Receipt no.", "Receipt #", "Ticket", "Order #"), "de": ("Bon-Nr.", "Beleg-Nr."),
        "fr": ("Ticket n°",), "es": ("Ticket n.º",), "it": ("Scontrino n.",), "pt": ("Talão n.º",),
    },
    "cashier": {
        "en": ("Cashier", "Served by", "Your server"), "de": ("Kasse", "Es bediente Sie"), "fr": ("Caissier",),
        "es": ("Cajero",), "it": ("Cassiere",), "pt": ("Caixa",),
    },
    "subtotal": {
        "en": ("Subtotal", "Net amount", "Sum of items"), "de": ("Zwischensumme", "Netto"), "fr": ("Sous-total",),
        "es": ("Subtotal",), "it": ("Subtotale",), "pt": ("Subtotal",),
    },
    "tax": {
        "en": ("Tax", "VAT", "Sales tax"), "de": ("MwSt.", "USt."), "fr": ("TVA",), "es": ("IVA",),
        "it": ("IVA",), "pt": ("IVA",),
    },
    "total": {
        "en": ("Total", "TOTAL", "Total due", "Amount due"), "de": ("Summe", "Gesamtbetrag", "Total"),
        "fr": ("Total", "Total à payer"), "es": ("Total", "Importe total"), "it": ("Totale",), "pt": ("Total",),
    },
    "payment": {
        "en": ("Payment", "Paid by", "Payment method"), "de": ("Zahlungsart",), "fr": ("Paiement",), "es": ("Pago",),
        "it": ("Pagamento",), "pt": ("Pagamento",),
    },
    "cash": {
        "en": ("Cash", "Cash given", "Tendered"), "de": ("Gegeben", "Bar"), "fr": ("Espèces",), "es": ("Efectivo",),
        "it": ("Contanti",), "pt": ("Dinheiro",),
    },
    "change": {
        "en": ("Change", "Change due"), "de": ("Rückgeld",), "fr": ("Rendu",), "es": ("Cambio",), "it": ("Resto",),
        "pt": ("Troco",),
    },
    "invoice_number": {
        "en": ("Invoice no.", "Invoice number", "Invoice #", "Number"), "de": ("Rechnungsnummer", "Rechnung Nr."),
        "fr": ("Facture n°",), "es": ("Factura n.º",), "it": ("Fattura n.",), "pt": ("Fatura n.º",),
    },
    "due_date": {
        "en": ("Due date", "Payment due", "Pay by"), "de": ("Zahlbar bis", "Fällig am"), "fr": ("Échéance",),
        "es": ("Vencimiento",), "it": ("Scadenza",), "pt": ("Vencimento",),
    },
    "customer": {
        "en": ("Customer", "Bill to", "Billed to", "Client"), "de": ("Kunde", "Rechnung an"), "fr": ("Client",),
        "es": ("Cliente",), "it": ("Cliente",), "pt": ("Cliente",),
    },
    "seller": {
        "en": ("From", "Seller", "Supplier"), "de": ("Von", "Lieferant"), "fr": ("Fournisseur",),
        "es": ("Proveedor",), "it": ("Fornitore",), "pt": ("Fornecedor",),
    },
    "customer_number": {
        "en": ("Customer no.", "Customer ID", "Account"), "de": ("Kundennummer", "Kunden-Nr."), "fr": ("N° client",),
        "es": ("N.º de cliente",), "it": ("Codice cliente",), "pt": ("N.º de cliente",),
    },
    "order_number": {
        "en": ("Order no.", "Order number", "PO number"), "de": ("Bestellnummer",), "fr": ("Commande n°",),
        "es": ("Pedido n.º",), "it": ("Ordine n.",), "pt": ("Encomenda n.º",),
    },
    "first_name": {
        "en": ("First name", "Given name"), "de": ("Vorname",), "fr": ("Prénom",), "es": ("Nombre",), "it": ("Nome",),
        "pt": ("Nome",),
    },
    "last_name": {
        "en": ("Last name", "Surname", "Family name"), "de": ("Nachname",), "fr": ("Nom",), "es": ("Apellido",),
        "it": ("Cognome",), "pt": ("Apelido",),
    },
    "birth_date": {
        "en": ("Date of birth", "Born"), "de": ("Geburtsdatum",), "fr": ("Date de naissance",),
        "es": ("Fecha de nacimiento",), "it": ("Data di nascita",), "pt": ("Data de nascimento",),
    },
    "street": {
        "en": ("Street", "Address"), "de": ("Straße",), "fr": ("Adresse",), "es": ("Calle",), "it": ("Via",),
        "pt": ("Morada",),
    },
    "city": {
        "en": ("City", "Town"), "de": ("Ort", "Stadt"), "fr": ("Ville",), "es": ("Ciudad",), "it": ("Città",),
        "pt": ("Cidade",),
    },
    "postcode": {
        "en": ("Postcode", "ZIP code", "Postal code"), "de": ("PLZ",), "fr": ("Code postal",),
        "es": ("Código postal",), "it": ("CAP",), "pt": ("Código postal",),
    },
    "phone": {
        "en": ("Phone", "Telephone", "Tel."), "de": ("Telefon",), "fr": ("Téléphone",), "es": ("Teléfono",),
        "it": ("Telefono",), "pt": ("Telefone",),
    },
    "email": {
        "en": ("Email", "E-mail"), "de": ("E-Mail",), "fr": ("Courriel",), "es": ("Correo",), "it": ("E-mail",),
        "pt": ("E-mail",),
    },
    "member_number": {
        "en": ("Member no.", "Membership ID", "Member number"), "de": ("Mitgliedsnummer",), "fr": ("N° de membre",),
        "es": ("N.º de socio",), "it": ("Tessera n.",), "pt": ("N.º de sócio",),
    },
    "occupation": {
        "en": ("Occupation", "Job title"), "de": ("Beruf",), "fr": ("Profession",), "es": ("Profesión",),
        "it": ("Professione",), "pt": ("Profissão",),
    },
    "company": {
        "en": ("Company", "Employer"), "de": ("Firma",), "fr": ("Entreprise",), "es": ("Empresa",),
        "it": ("Azienda",), "pt": ("Empresa",),
    },
    "start_date": {
        "en": ("Start date", "Valid from"), "de": ("Beginn",), "fr": ("Début",), "es": ("Inicio",), "it": ("Inizio",),
        "pt": ("Início",),
    },
    "item": {
        "en": ("Item", "Description", "Product"), "de": ("Artikel", "Bezeichnung"), "fr": ("Article",),
        "es": ("Artículo",), "it": ("Articolo",), "pt": ("Artigo",),
    },
    "quantity": {
        "en": ("Qty", "Quantity"), "de": ("Menge",), "fr": ("Qté",), "es": ("Cant.",), "it": ("Q.tà",), "pt": ("Qtd.",),
    },
    "unit_price": {
        "en": ("Unit price", "Each", "Rate"), "de": ("Einzelpreis",), "fr": ("Prix unit.",), "es": ("Precio",),
        "it": ("Prezzo",), "pt": ("Preço",),
    },
    "amount": {
        "en": ("Amount", "Line total"), "de": ("Betrag",), "fr": ("Montant",), "es": ("Importe",), "it": ("Importo",),
        "pt": ("Valor",),
    },
}  # fmt: skip
"""Printed labels of each field and of the columns of item tables, by language."""

TITLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "invoice": {
        "en": ("Invoice", "INVOICE", "Tax invoice"), "de": ("Rechnung",), "fr": ("Facture",), "es": ("Factura",),
        "it": ("Fattura",), "pt": ("Fatura",),
    },
    "form": {
        "en": ("Registration form", "Membership application", "Personal details", "Staff record", "Contact sheet",
               "Library card request"),
        "de": ("Anmeldung", "Mitgliedsantrag"), "fr": ("Inscription", "Fiche personnelle"),
        "es": ("Inscripción", "Datos personales"), "it": ("Iscrizione", "Dati personali"),
        "pt": ("Inscrição", "Dados pessoais"),
    },
}  # fmt: skip

THANKS: Mapping[str, tuple[str, ...]] = {
    "en": ("Thank you!", "Thank you for your visit", "Please come again", "Have a nice day"),
    "de": ("Vielen Dank!", "Danke für Ihren Einkauf"), "fr": ("Merci !", "Merci de votre visite"),
    "es": ("¡Gracias!", "Gracias por su compra"), "it": ("Grazie!", "Grazie e arrivederci"),
    "pt": ("Obrigado!", "Obrigado pela visita"),
}  # fmt: skip

PAYMENTS: Mapping[str, tuple[str, ...]] = {
    "en": ("Card", "VISA", "Mastercard", "Debit card", "Gift card"), "de": ("EC-Karte", "VISA", "Kreditkarte"),
    "fr": ("Carte bancaire", "VISA"), "es": ("Tarjeta", "VISA"), "it": ("Carta", "Bancomat"), "pt": ("Cartão", "VISA"),
}  # fmt: skip
"""Ways to pay other than cash."""

PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Coffee", "Green tea", "Orange juice", "Sparkling water", "Milk", "Oat milk", "Butter", "Brown bread",
        "Bagel", "Croissant", "Cheddar", "Goat cheese", "Tomato soup", "Caesar salad", "Club sandwich", "Veggie burger",
        "French fries", "Apple pie", "Ice cream", "Dark chocolate", "Bananas", "Red apples", "Lemons", "Potatoes",
        "Carrots", "Mushrooms", "Rice", "Spaghetti", "Olive oil", "Honey", "Eggs", "Yogurt", "Salmon", "Chicken wings",
        "Paper towels", "Dish soap", "Shampoo", "Toothbrush", "Batteries", "Light bulb", "Notebook", "Ballpoint pen",
        "Stapler", "Desk lamp", "Office chair", "Keyboard", "Mouse pad", "Monitor", "Printer ink", "Cable 2 m",
        "Hammer", "Screwdriver", "Paint roller", "Garden hose", "Flower pot", "Work gloves", "Ladder", "Tape measure",
        "Window cleaning", "Consulting", "Web design", "Translation", "Delivery", "Installation", "Repair", "Training",
        "Bicycle bell", "Helmet", "Backpack", "Umbrella", "Scarf", "Socks", "T-shirt", "Jacket", "Pillow", "Blanket",
        "Candle", "Picture frame", "Vase", "Tea towel", "Cutting board", "Frying pan", "Kettle", "Wine glass",
    ),
    "de": ("Brötchen", "Kaffee", "Apfelsaft", "Butter", "Käse", "Kartoffeln", "Milch", "Mineralwasser", "Schokolade",
           "Schrauben", "Lampe", "Papier", "Bleistift", "Beratung", "Versand", "Montage", "Handschuhe", "Seife",
           "Vollkornbrot", "Nudeln", "Gurken", "Zwiebeln", "Blumenerde", "Farbe weiß"),
    "fr": ("Baguette", "Café", "Jus d'orange", "Beurre", "Fromage", "Pommes", "Lait", "Eau minérale", "Chocolat",
           "Lampe", "Papier", "Crayon", "Conseil", "Livraison", "Gants", "Savon", "Pâtes", "Oignons", "Peinture",
           "Tarte aux fraises", "Crème", "Éponge"),
    "es": ("Pan", "Café", "Zumo de naranja", "Mantequilla", "Queso", "Manzanas", "Leche", "Agua", "Chocolate",
           "Lámpara", "Papel", "Lápiz", "Consultoría", "Envío", "Guantes", "Jabón", "Aceite", "Cebollas", "Pintura",
           "Tortilla", "Jamón", "Piña"),
    "it": ("Pane", "Caffè", "Succo d'arancia", "Burro", "Formaggio", "Mele", "Latte", "Acqua", "Cioccolato",
           "Lampada", "Carta", "Matita", "Consulenza", "Spedizione", "Guanti", "Sapone", "Cipolle", "Vernice"),
    "pt": ("Pão", "Café", "Sumo de laranja", "Manteiga", "Queijo", "Maçãs", "Leite", "Água", "Chocolate", "Candeeiro",
           "Papel", "Lápis", "Consultoria", "Entrega", "Luvas", "Sabão", "Cebolas", "Tinta"),
}  # fmt: skip

COMPANY_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "en": ("Ltd.", "Inc.", "LLC", "& Sons", "Market", "Coffee House", "Hardware", "Books", "Studio", "Services"),
    "de": ("GmbH", "KG", "& Söhne", "AG", "Markt", "Bäckerei"), "fr": ("SARL", "et Fils", "SA"),
    "es": ("S.L.", "e Hijos", "S.A."), "it": ("S.r.l.", "e Figli", "S.p.A."), "pt": ("Lda.", "e Filhos", "S.A."),
}  # fmt: skip

SENTENCES: tuple[str, ...] = (
    "{name} will open the new {noun} in {city} on {date}.",
    "The {noun} of {city} is closed until {date}.",
    "Please send your {noun} to {name} before {date}.",
    "According to {name}, the {noun} has grown by {number} percent.",
    "We met {name} at the {noun} in {city}.",
    "The price of the {noun} rose to {number} dollars this year.",
    "{name} wrote a letter about the {noun} and the {noun2}.",
    "Nobody in {city} had seen such a {noun} before.",
    "There are {number} rooms, a {noun} and a small {noun2}.",
    "For questions about the {noun}, call {name}.",
    "On {date} the {noun} moved from {city} to another place.",
    "Most people prefer the {noun} to the {noun2}.",
    "The first {noun} was built {number} years ago near {city}.",
    "{name} has been the head of the {noun} since {date}.",
    "It takes about {number} minutes to reach the {noun}.",
    "Every {noun} needs a {noun2}, as {name} likes to say.",
    "The report describes the {noun} and compares it with the {noun2}.",
    "Visitors of the {noun} can park behind the {noun2}.",
    "After the meeting {name} went back to {city}.",
    "The {noun} costs {number} euros, the {noun2} is free.",
    "A {noun} without a {noun2} is of little use.",
    "Work on the {noun} will begin on {date}.",
    "{name} and {name2} share the work on the {noun}.",
    "The committee received {number} letters about the {noun}.",
)
"""English sentences; some are held out by the hash of their text."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("Name", "Member", "Player", "Employee"), "city": ("City", "Town", "Station", "Branch"),
    "product": ("Product", "Item", "Article"), "word": ("Topic", "Keyword", "Project", "Team"),
    "count": ("Units", "Visitors", "Points", "Stock", "Orders", "Members"),
    "price": ("Price", "Cost", "Fee", "Budget"), "percent": ("Share", "Growth", "Rate", "Margin"),
    "date": ("Date", "Since", "Deadline", "Updated"), "code": ("Code", "ID", "Reference"),
    "yes": ("Active", "Paid", "Member", "Done"), "decimal": ("Score", "Weight", "Length", "Average"),
    "year": ("Year", "Founded", "Born"),
}  # fmt: skip
"""Headings of the columns of tables, by the kind of value."""

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "shop": ("the name of the shop", ("What is the name of the shop?", "Which shop is this receipt from?")),
    "seller": ("the seller", ("Who is the seller?", "Who sent this invoice?")),
    "customer": ("the customer", ("Who is the customer?", "Who is the invoice for?")),
    "date": ("the date", ("What is the date?", "What date is on the document?")),
    "time": ("the time", ("What is the time?", "At what time was the receipt printed?")),
    "receipt_number": ("the receipt number", ("What is the receipt number?",)),
    "cashier": ("the cashier", ("Who is the cashier?", "What is the name of the cashier?")),
    "subtotal": ("the subtotal", ("What is the subtotal?", "How much is the subtotal?")),
    "tax": ("the tax", ("How much is the tax?", "What is the tax amount?")),
    "total": ("the total", ("What is the total?", "What is the total amount?", "How much is the total?")),
    "payment": ("the payment method", ("How was it paid?", "What is the payment method?")),
    "cash": ("the cash given", ("How much cash was given?",)),
    "change": ("the change", ("How much is the change?", "What is the change?")),
    "invoice_number": ("the invoice number", ("What is the invoice number?",)),
    "due_date": ("the due date", ("What is the due date?", "By when must the invoice be paid?")),
    "customer_number": ("the customer number", ("What is the customer number?",)),
    "order_number": ("the order number", ("What is the order number?",)),
    "first_name": ("the first name", ("What is the first name?",)),
    "last_name": ("the last name", ("What is the last name?", "What is the surname?")),
    "birth_date": ("the date of birth", ("What is the date of birth?",)),
    "street": ("the street", ("What is the street?", "What is the street address?")),
    "city": ("the city", ("What is the city?", "Which city is given?")),
    "postcode": ("the postcode", ("What is the postcode?", "What is the postal code?")),
    "phone": ("the phone number", ("What is the phone number?",)),
    "email": ("the email address", ("What is the email address?",)),
    "member_number": ("the member number", ("What is the member number?",)),
    "occupation": ("the occupation", ("What is the occupation?",)),
    "company": ("the company", ("What is the company?", "Which company is given?")),
    "start_date": ("the start date", ("What is the start date?",)),
}  # fmt: skip
"""What a field is called in an answer, and how it is asked for, by key."""

KEYS_OF: Mapping[str, tuple[str, ...]] = {
    "receipt": ("shop", "date", "time", "receipt_number", "cashier", "subtotal", "tax", "total", "payment", "cash",
                "change"),
    "invoice": ("seller", "customer", "date", "due_date", "invoice_number", "customer_number", "order_number",
                "subtotal", "tax", "total"),
    "form": ("first_name", "last_name", "birth_date", "street", "city", "postcode", "phone", "email", "member_number",
             "occupation", "company", "start_date"),
    "document": ("invoice_number", "receipt_number", "customer_number", "order_number", "subtotal", "change", "tax"),
    "table": ("invoice_number", "receipt_number", "customer_number", "order_number", "subtotal", "change", "tax"),
}  # fmt: skip
"""Fields that may be asked for on a kind of page; documents and tables have none."""
