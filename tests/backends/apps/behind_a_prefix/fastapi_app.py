"""FastAPI. uvicorn is told of the prefix (`--root-path`) and of the proxies that it believes."""

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

app = FastAPI()


@app.get("/where/", name="where")
def where(request: Request, response: Response):
    response.set_cookie("seen", "yes")
    return {"url": str(request.url_for("where")), "client": request.client.host}


@app.get("/go")
def go(request: Request):
    return RedirectResponse(request.url_for("where"))
