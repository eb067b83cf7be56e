# SPDX-License-Identifier: Apache-2.0
"""The engine: conversations in, replies out, one after the other.

The simple one. Each conversation has a cache and a random generator of its own, so an answer never
depends on what else is asked; the price is that nothing is computed together. It stands behind
`Responder`, as any other engine will.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch

from finesight.batch import IGNORE_INDEX, EncodedSample, pack
from finesight.conversation import Conversation, Reply, Sampling, StreamEvent, Usage
from finesight.engine.runner import OnStage, SequenceRunner, check_length
from finesight.engine.sampler import Sampler
from finesight.engine.transcript import Transcript
from finesight.errors import EngineError
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.text.special_tokens import IM_END


class Engine:
    """Answers conversations with a model in this process; a `Responder`, `Streamer` and `Scorer`.

    Args:
        model: the network; put into evaluation mode.
        processor: from the same checkpoint.
        eos_ids: further tokens that end an answer, besides those of the model's own configuration and <|im_end|>.
        on_stage: told what is going on: `(stage, done, total)`.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        processor: Processor,
        *,
        eos_ids: Collection[int] = (),
        on_stage: OnStage = lambda stage, done, total: None,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        # <|im_end|> closes every turn that is written here; files of fine-tuned models often leave it out.
        turn_end = processor.tokenizer.special_id(IM_END)
        self.eos_ids = frozenset((turn_end, *model.config.special_tokens.eos, *eos_ids))
        self._on_stage = on_stage

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Answer each conversation; replies come in the order of the conversations.

        Raises:
            FinesightError: a conversation cannot be encoded or does not fit the context.
        """
        return [finished(self.stream(conversation, sampling)) for conversation in conversations]

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[StreamEvent]:
        """Answer one conversation piece by piece.

        Wrong options and unusable media are reported by the call itself, before the first piece.

        Raises:
            FinesightError: the conversation cannot be encoded or does not fit the context.
        """
        sampling.check()
        sample = self.encode(conversation)
        return self.stream_sample(sample, sampling, takes_calls=bool(conversation.tools))

    def encode(self, conversation: Conversation) -> EncodedSample:
        """Encode a conversation up to the opening of the answer."""
        num_items = sum(1 for _ in conversation.media())
        self._on_stage("media", 0, num_items)
        sample = self.processor.encode(conversation)
        self._on_stage("media", num_items, num_items)
        return sample

    def stream_sample(
        self, sample: EncodedSample, sampling: Sampling, *, takes_calls: bool = False
    ) -> Iterator[StreamEvent]:
        """Answer an encoded conversation piece by piece.

        Args:
            sample: ends with the opening of an assistant turn.
            sampling: how to draw.
            takes_calls: whether a tool call ends with `finish_reason="tool_calls"`.
        """
        sampling.check()
        runner = SequenceRunner(self.model, sample, sampling.max_new_tokens, self._on_stage)
        transcript = Transcript(
            self.processor.tokenizer,
            sampling,
            self.eos_ids,
            takes_calls=takes_calls,
        )
        return self._generate(runner, Sampler(sampling, sample.input_ids), transcript, sample)

    def _generate(
        self,
        runner: SequenceRunner,
        sampler: Sampler,
        transcript: Transcript,
        sample: EncodedSample,
    ) -> Iterator[StreamEvent]:
        logits = runner.prefill()
        while True:
            shown = transcript.push(sampler.pick(logits))
            num_tokens = len(transcript.token_ids)
            self._on_stage("decode", num_tokens, sampler.sampling.max_new_tokens)
            if transcript.finish_reason is not None:
                reply = _reply(transcript, sample)
                yield StreamEvent(text=shown, num_tokens=num_tokens, reply=reply)
                return
            yield StreamEvent(text=shown, num_tokens=num_tokens)
            logits = runner.step(transcript.token_ids[-1])

    @torch.inference_mode()
    def score(self, conversations: Sequence[Conversation]) -> list[list[float]]:
        """Log-probability of each target token: the answers' own tokens and their end tokens.

        Raises:
            PromptTooLong: a conversation exceeds the context.
        """
        return [self._score(conversation) for conversation in conversations]

    def _score(self, conversation: Conversation) -> list[float]:
        sample = self.processor.encode(conversation, add_generation_prompt=False)
        check_length(sample.input_ids.numel(), 0, self.model.config.text.max_position_embeddings)
        batch = pack([sample]).to(self.model.device)
        targets = batch.labels[1:]
        rows = (targets != IGNORE_INDEX).nonzero().squeeze(1)  # row t predicts token t + 1
        logprobs = self.model.logits(self.model(batch)[rows]).float().log_softmax(-1)
        scores: list[float] = logprobs.gather(1, targets[rows, None]).squeeze(1).tolist()
        return scores


def finished(events: Iterator[StreamEvent]) -> Reply:
    """The reply at the end of a stream."""
    for event in events:
        if event.reply is not None:
            return event.reply
    raise EngineError("the answer ended without a reply")


def _reply(transcript: Transcript, sample: EncodedSample) -> Reply:
    assert transcript.finish_reason is not None
    return Reply(
        text=transcript.text,
        token_ids=tuple(transcript.token_ids),
        finish_reason=transcript.finish_reason,
        usage=Usage(
            prompt_tokens=sample.input_ids.numel(),
            visual_tokens=sample.visual_index.numel(),
            completion_tokens=len(transcript.token_ids),
        ),
        media=sample.media,
        logprobs=tuple(transcript.logprobs),
    )
