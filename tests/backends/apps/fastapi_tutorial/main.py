# As https://fastapi.tiangolo.com/tutorial/security/oauth2-jwt/ has it.
import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from jwt.exceptions import InvalidTokenError
from pwdlib import PasswordHash
from pydantic import BaseModel

SECRET_KEY = os.environ["JWT_SECRET"]
ALGORITHM = "HS256"
PASSWORDS = PasswordHash.recommended()
USERS = {"johndoe": {"full_name": "John Doe", "hashed_password": PASSWORDS.hash("secret")}}

app = FastAPI()
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


class Token(BaseModel):
    access_token: str
    token_type: str


class User(BaseModel):
    username: str
    full_name: str


def unauthorized(detail):
    return HTTPException(401, detail=detail, headers={"WWW-Authenticate": "Bearer"})


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)]):
    try:
        username = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM])["sub"]
        return User(username=username, full_name=USERS[username]["full_name"])
    except (InvalidTokenError, KeyError):
        raise unauthorized("Could not validate credentials")


@app.post("/token")
async def login_for_access_token(
    form_data: Annotated[OAuth2PasswordRequestForm, Depends()],
) -> Token:
    user = USERS.get(form_data.username)
    if user is None or not PASSWORDS.verify(form_data.password, user["hashed_password"]):
        raise unauthorized("Incorrect username or password")
    claims = {"sub": form_data.username, "exp": datetime.now(UTC) + timedelta(minutes=30)}
    token = jwt.encode(claims, SECRET_KEY, algorithm=ALGORITHM)
    return Token(access_token=token, token_type="bearer")


@app.get("/users/me/")
async def read_users_me(current_user: Annotated[User, Depends(get_current_user)]) -> User:
    return current_user
