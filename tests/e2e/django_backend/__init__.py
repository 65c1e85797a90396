"""An ordinary Django REST framework backend with simplejwt, as their documentation sets it up.

It knows nothing of a gateway: `python -m tests.e2e.django_backend PORT DATABASE`.
"""
