"""The same service by FastAPI and implicit, for comparison: fold in the posted history, ten items, their titles.

`python -m benchmarks.service.peers VECTORS.npz --port 0` prints its address and serves until it is told to end.
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


def application(path: str) -> FastAPI:
    """The service of vectors `items` (n, f), with their `ids`, `titles`, `alpha` and `reg`."""
    held = np.load(path)
    ids, titles = held["ids"], held["titles"]
    number = {id: place for place, id in enumerate(ids.tolist())}
    model = AlternatingLeastSquares(factors=held["items"].shape[1], regularization=float(held["reg"]),
                                    alpha=float(held["alpha"]), num_threads=1)
    model.item_factors, model.user_factors = held["items"], np.zeros((1, held["items"].shape[1]), np.float32)
    app = FastAPI()

    @app.post("/v1/recommend")
    def recommend(ask: Ask) -> Found:
        places = [number[id] for id in ask.history if id in number]
        if not places:
            raise HTTPException(422, "no item of the history is known")
        row = csr_matrix((np.ones(len(places), np.float32), ([0] * len(places), places)), (1, len(ids)))
        found, scores = model.recommend(0, row, N=ask.k, filter_already_liked_items=True, recalculate_user=True)
        return Found(items=[Item(id=id, title=title, score=score) for id, title, score in zip(
            ids[found].tolist(), titles[found].tolist(), scores.tolist(), strict=True)], request_id=uuid.uuid4().hex)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", options.port), backlog=2048)
    print(f"Serving at http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(application(options.vectors), access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
