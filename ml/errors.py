"""What can be wrong with a training, its data or its promotion."""


class LearningError(ValueError):
    """Base of everything that `ml` refuses; the message is one line that says what to do."""


class TrainingRefused(LearningError):
    """The data or the configuration cannot be trained on."""


class ModelMismatch(LearningError):
    """The exported model does not say what the trained one says."""


class RegistryRefused(LearningError):
    """A promotion, rollback or registration cannot be done as asked."""


class NotReplaced(RegistryRefused):
    """The present champion stays, for a reason that its history gives."""


class LostRace(RegistryRefused):
    """Somebody else announced a champion in between; nothing was changed."""
