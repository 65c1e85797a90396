# As https://strawberry.rocks/docs/guides/authentication and /guides/permissions have it, with a
# token in LoginSuccess.
import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
import strawberry
from fastapi import FastAPI
from strawberry.fastapi import BaseContext, GraphQLRouter
from strawberry.permission import BasePermission

SECRET = os.environ["JWT_SECRET"]
PASSWORDS = {"patrick": "patrick", "marco": "polo"}


@strawberry.type
class User:
    username: str


@strawberry.type
class LoginSuccess:
    user: User
    token: str


@strawberry.type
class LoginError:
    message: str


LoginResult = Annotated[LoginSuccess | LoginError, strawberry.union("LoginResult")]


class Context(BaseContext):
    @property
    def user(self) -> User | None:
        authorization = self.request.headers.get("Authorization", "")
        try:
            claims = jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            return None
        return User(username=claims["sub"])


class IsAuthenticated(BasePermission):
    message = "User is not authenticated"

    def has_permission(self, source, info: strawberry.Info, **kwargs) -> bool:
        return info.context.user is not None


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "world"

    @strawberry.field(permission_classes=[IsAuthenticated])
    def me(self, info: strawberry.Info) -> User:
        return info.context.user


@strawberry.type
class Mutation:
    @strawberry.field
    def login(self, username: str, password: str) -> LoginResult:
        if PASSWORDS.get(username) != password:
            return LoginError(message="Something went wrong")
        expires = datetime.now(UTC) + timedelta(minutes=30)
        token = jwt.encode({"sub": username, "exp": expires}, SECRET, algorithm="HS256")
        return LoginSuccess(user=User(username=username), token=token)


async def get_context() -> Context:
    return Context()


schema = strawberry.Schema(Query, Mutation)
app = FastAPI()
app.include_router(GraphQLRouter(schema, context_getter=get_context), prefix="/graphql")
