# As https://flask-jwt-extended.readthedocs.io/en/stable/refreshing_tokens.html (explicit refreshing
# with refresh tokens) and .../token_locations.html (cookies) have it.
import os
from datetime import timedelta

from flask import Flask, jsonify
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
    set_access_cookies,
    set_refresh_cookies,
)

app = Flask(__name__)
app.config["JWT_COOKIE_SECURE"] = False
app.config["JWT_TOKEN_LOCATION"] = ["cookies"]
app.config["JWT_REFRESH_COOKIE_PATH"] = "/token/refresh"
app.config["JWT_SECRET_KEY"] = os.environ["JWT_SECRET"]
# Shorter than in the docs, so that the gateway renews them.
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(seconds=2)
jwt = JWTManager(app)


@app.route("/token/auth", methods=["POST"])
def login():
    response = jsonify({"login": True})
    set_access_cookies(response, create_access_token(identity="example_user"))
    set_refresh_cookies(response, create_refresh_token(identity="example_user"))
    return response


@app.route("/token/refresh", methods=["POST"])
@jwt_required(refresh=True)
def refresh():
    response = jsonify({"refresh": True})
    set_access_cookies(response, create_access_token(identity=get_jwt_identity()))
    return response


@app.route("/protected", methods=["GET", "POST"])
@jwt_required()
def protected():
    return jsonify(foo="bar")
