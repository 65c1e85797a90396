"""simplejwt's own views, and one view of the API."""

from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.response import Response
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
)


@api_view(["GET", "POST"])
def me(request):
    """Who asks, by the JWT; and what the request said of it."""
    return Response(
        {
            "username": request.user.username,
            "authorization": request.headers.get("Authorization"),
            "user_id_field": request.headers.get("X-User-Id"),
            "sent": request.data,
        }
    )


urlpatterns = [
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/token/blacklist/", TokenBlacklistView.as_view()),
    path("api/me/", me),
]
