"""The same service by FastAPI and implicit, for comparison: fold in the posted history, ten items, their titles.

`python -m benchmarks.service.peers VECTORS.npz --port 0 [--on-loop]` prints its address and serves until told to end.
Libraries are to have one thread, as a worker of ours has: OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import socket
import uuid

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import BaseModel, Field
from scipy.sparse import csr_matrix


class Ask(BaseModel):
    history: list[int] = Field(max_length=1000)
    k: int = Field(10, ge=1, le=1000)


class Item(BaseModel):
    id: int
    title: str
    score: float


class Found(BaseModel):
    items: list[Item]
    request_id: str


def application(path: str, on_loop: bool) -> FastAPI:
    """The service of vectors `items` (n, f), with their `ids`, `titles`, `alpha` and `reg`.

    FastAPI calls a plain function in a pool of threads, as its documentation has it for what takes a while; `on_loop`
    answers on the event loop instead, which is faster as long as nothing else is to be done meanwhile.
    """
    held = np.load(path)
    ids, titles = held["ids"], held["titles"]
    number = {id: place for place, id in enumerate(ids.tolist())}
    model = AlternatingLeastSquares(factors=held["items"].shape[1], regularization=float(held["reg"]),
                                    alpha=float(held["alpha"]), num_threads=1)
    model.item_factors, model.user_factors = held["items"], np.zeros((1, held["items"].shape[1]), np.float32)
    app = FastAPI()

    def recommend(ask: Ask) -> Found:
        places = [number[id] for id in ask.history if id in number]
        if not places:
            raise HTTPException(422, "no item of the history is known")
        row = csr_matrix((np.ones(len(places), np.float32), ([0] * len(places), places)), (1, len(ids)))
        found, scores = model.recommend(0, row, N=ask.k, filter_already_liked_items=True, recalculate_user=True)
        return Found(items=[Item(id=id, title=title, score=score) for id, title, score in zip(
            ids[found].tolist(), titles[found].tolist(), scores.tolist(), strict=True)], request_id=uuid.uuid4().hex)

    async def recommend_on_loop(ask: Ask) -> Found:
        return recommend(ask)

    app.post("/v1/recommend")(recommend_on_loop if on_loop else recommend)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--on-loop", action="store_true")
    options = parser.parse_args()
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # the number turns delays off
    listening.bind(("127.0.0.1", options.port))
    listening.listen(2048)
    print(f"Serving at http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(application(options.vectors, options.on_loop), access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
