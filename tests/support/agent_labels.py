# SPDX-License-Identifier: Apache-2.0
"""Labels of a shop, a mailbox and a bank in five languages: acts with consequences, and harmless ones.

Written as such sites label their controls, before and without regard to the word lists of the gate.
"""

from __future__ import annotations


def _listed(text: str) -> list[str]:
    return [" ".join(label.split()) for label in text.split("|")]


CONSEQUENTIAL = {
    "en": _listed("""
        Buy now | Place order | Pay $49.00 | Send | Delete conversation | Publish post | Install app |
        Transfer money | Sign in | Remove account | Subscribe for $9 a month | Empty trash"""),
    "de": _listed("""
        Jetzt kaufen | Zahlungspflichtig bestellen | 49,00 € bezahlen | Senden | Unterhaltung löschen |
        Beitrag veröffentlichen | App installieren | Geld überweisen | Anmelden | Konto löschen | Zugriff
        erlauben | Papierkorb leeren"""),
    "fr": _listed("""
        Acheter | Passer la commande | Payer 49,00 € | Envoyer | Supprimer la conversation | Publier |
        Installer | Faire un virement | Se connecter | Supprimer le compte | Autoriser | Vider la corbeille"""),
    "es": _listed("""
        Comprar ahora | Realizar pedido | Pagar 49,00 € | Enviar | Eliminar conversación | Publicar |
        Instalar | Transferir dinero | Iniciar sesión | Borrar cuenta | Permitir | Vaciar papelera"""),
    "zh": _listed("""
        立即购买 | 提交订单 | 支付 49 元 | 发送 | 删除会话 | 发布 | 安装应用 | 转账 | 登录 |
        注销账号 | 允许 | 清空回收站"""),
}

HARMLESS = {
    "en": _listed("""
        Search | Home | Next page | Previous | Menu | Close | Cancel | Back | Details | Show more | Add to
        cart | Filter by price | Sort by name | Order history | Sent | Inbox | Drafts | Reviews | Help |
        Contact | Language | Zoom in | Mark as read | Refresh | About us"""),
    "de": _listed("""
        Suchen | Startseite | Nächste Seite | Zurück | Menü | Schließen | Abbrechen | Details | Mehr
        anzeigen | In den Warenkorb | Nach Preis filtern | Nach Name sortieren | Bestellverlauf | Gesendet |
        Posteingang | Entwürfe | Bewertungen | Hilfe | Kontakt | Sprache | Vergrößern | Als gelesen
        markieren | Aktualisieren | Über uns | Konto"""),
    "fr": _listed("""
        Rechercher | Accueil | Page suivante | Précédent | Menu | Fermer | Annuler | Détails | Voir plus |
        Ajouter au panier | Filtrer par prix | Trier par nom | Historique des commandes | Envoyés | Boîte de
        réception | Brouillons | Avis | Aide | Contact | Langue | Agrandir | Marquer comme lu | Actualiser |
        À propos | Mon compte"""),
    "es": _listed("""
        Buscar | Inicio | Página siguiente | Anterior | Menú | Cerrar | Cancelar | Detalles | Ver más |
        Añadir a la cesta | Filtrar por precio | Ordenar por nombre | Historial de pedidos | Enviados |
        Bandeja de entrada | Borradores | Opiniones | Ayuda | Contacto | Idioma | Ampliar | Marcar como
        leído | Actualizar | Sobre nosotros | Mi cuenta"""),
    "zh": _listed("""
        搜索 | 首页 | 下一页 | 上一页 | 菜单 | 关闭 | 取消 | 返回 | 详情 | 更多 | 加入购物车
        | 按价格筛选 | 按名称排序 | 订单记录 | 已发送 | 收件箱 | 草稿箱 | 评价 | 帮助 | 联系我们
        | 语言 | 放大 | 标为已读 | 刷新 | 关于我们"""),
}

KINDS = (
    '<button type="button">{label}</button>',
    '<a href="#there">{label}</a>',
    '<div role="button" tabindex="0">{label}</div>',
    '<form action="/shop" method="get"><button>{label}</button></form>',
)
"""How a site builds a control."""
