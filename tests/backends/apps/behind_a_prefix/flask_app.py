"""Flask. ProxyFix counts the proxies: the gateway, and the one in front of it that ends HTTPS."""

from flask import Flask, jsonify, redirect, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=2, x_proto=1, x_host=1, x_prefix=1)


@app.get("/where/")
def where():
    response = jsonify(url=url_for("where", _external=True), client=request.remote_addr)
    response.set_cookie("seen", "yes")
    return response


@app.get("/go")
def go():
    return redirect(url_for("where"))
