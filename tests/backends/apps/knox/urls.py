"""knox's views, with the login by name and password that its "Auth" documents."""

from django.contrib.auth import login
from django.urls import path
from knox import views as knox_views
from knox.views import LoginView as KnoxLoginView
from rest_framework import permissions
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.decorators import api_view
from rest_framework.response import Response


class LoginView(KnoxLoginView):
    permission_classes = (permissions.AllowAny,)

    def post(self, request, format=None):
        serializer = AuthTokenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = serializer.validated_data["user"]
        login(request, user)
        return super().post(request, format=None)


@api_view(["GET"])
def me(request):
    """Who asks, by the token; and what the request said of it."""
    return Response(
        {
            "username": request.user.username,
            "authorization": request.headers.get("Authorization"),
            "user_id_field": request.headers.get("X-User-Id"),
        }
    )


urlpatterns = [
    path("api/auth/login/", LoginView.as_view(), name="knox_login"),
    path("api/auth/logout/", knox_views.LogoutView.as_view(), name="knox_logout"),
    path("api/auth/logoutall/", knox_views.LogoutAllView.as_view(), name="knox_logoutall"),
    path("api/me/", me),
]
