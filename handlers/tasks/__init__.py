"""What a task makes of a model's numbers: the answers of transformers' pipelines, as arrays, without transformers."""

CUSTOM, ZERO_SHOT = "custom", "zero-shot-classification"
# task -> module and class, imported when a model asks for it. A class of a text task is made from a TextModel and a Manifest, that of an
# image task from an engine and a Manifest; a model of one's own is its own class (`handlers/models`).
TEXT_TASKS = {
    "feature-extraction": ("handlers.tasks.feature_extraction", "FeatureExtraction"),
    "sentence-embedding": ("handlers.tasks.sentence_embedding", "SentenceEmbedding"),
    "text-classification": ("handlers.tasks.text_classification", "TextClassification"),
    "token-classification": ("handlers.tasks.token_classification", "TokenClassification"),
    ZERO_SHOT: ("handlers.tasks.zero_shot", "ZeroShotClassification"),
}
IMAGE_TASKS = {"image-classification": ("handlers.tasks.image_classification", "ImageClassification")}
# Texts that grow token by token (`handlers/tasks/text_generation.py`).
GENERATION = "text-generation"
TASKS = (*TEXT_TASKS, GENERATION, *IMAGE_TASKS, CUSTOM)
# Engine `torch` computes texts alone; everything else is ONNX Runtime's.
TORCH_TASKS = (*TEXT_TASKS, GENERATION)
