# ruff: noqa: RUF001
"""Texts that the served numbers are compared on: languages, lengths, and what tokenizers stumble over."""

TEXTS = {
    "english": "The endpoint sleeps until somebody calls it.",
    "german": "Der Endpunkt schläft, bis ihn jemand ruft.",
    "french": "L'endpoint dort jusqu'à ce qu'on l'appelle, n'est-ce pas ?",
    "russian": "Сервис спит, пока его не позовут.",
    "greek": "Η υπηρεσία κοιμάται μέχρι να τη φωνάξει κάποιος.",
    "arabic": "الخدمة نائمة حتى يناديها أحد.",
    "hebrew": "השירות ישן עד שמישהו קורא לו.",
    "hindi": "सेवा तब तक सोती है जब तक कोई उसे न बुलाए।",
    "chinese": "服务在有人调用之前一直休眠。",
    "japanese": "誰かが呼ぶまでサービスは眠っています。",
    "korean": "누군가 부를 때까지 서비스는 잠들어 있습니다.",
    "thai": "บริการหลับอยู่จนกว่าจะมีคนเรียก",
    "emoji": "cold 🥶 start 🚀👩‍🚀, warm ☀️",
    "empty": "",
    "one token": "hello",
    "blanks": "  \t\n  two   words \n",
    "special tokens": "[CLS] a [SEP] b [MASK] [PAD] [UNK]",
    "combining": "e\u0301 o\u0308 \u200b zero\u200dwidth \ufeff",
    "long word": "a" * 150 + " pneumonoultramicroscopicsilicovolcanoconiosis",
    "256 tokens": "serverless " * 254,
    "512 tokens": "cloud " * 510,
    "more than 512 tokens": " ".join(f"word{number}" for number in range(600)),
}
# Small enough to be recorded, wide enough to notice a wrong tokenizer, layer, mask or truncation.
RECORDED = ("english", "chinese", "emoji", "empty", "one token", "special tokens", "512 tokens", "more than 512 tokens")
