"""What a task makes of a model's numbers: the answers of transformers' pipelines, as arrays, without transformers."""

# task -> module and class, imported when a model asks for it; each class is made from a TextModel and a Manifest.
TASKS = {
    "feature-extraction": ("handlers.tasks.feature_extraction", "FeatureExtraction"),
    "sentence-embedding": ("handlers.tasks.sentence_embedding", "SentenceEmbedding"),
    "text-classification": ("handlers.tasks.text_classification", "TextClassification"),
}
