"""The pages' texts in Korean."""

from __future__ import annotations

from gateway.pages.texts import Notice, Texts

_LOG_IN = Notice(
    "로그인이 필요합니다",
    "이 페이지를 보려면 로그인해 주세요. 이미 로그아웃했거나 로그인이 만료되었을 수 있습니다.",
)

_FORBIDDEN = Notice(
    "접근 권한이 없습니다",
    "로그인되어 있지만 이 계정으로는 이 페이지를 볼 수 없습니다.",
)
_NOT_FOUND = Notice("페이지를 찾을 수 없습니다", "주소를 확인하거나 이전 페이지로 돌아가 주세요.")
_BUSY = Notice("지금은 접속이 많습니다", "잠시 후 다시 시도해 주세요.")
_AWAY = Notice(
    "지금은 페이지에 연결할 수 없습니다",
    "로그인은 유지됩니다. 잠시 후 다시 시도해 주세요.",
)
_NO_LOGIN = Notice(
    "지금은 로그인할 수 없습니다",
    "로그인 서비스가 응답하지 않습니다. 잠시 후 다시 시도해 주세요.",
)
_MISFIT = Notice(
    "로그인하지 못했습니다",
    "로그인 서비스의 응답을 처리할 수 없습니다. 사이트 관리자는 로그에서 원인을 확인할 수 "
    "있습니다.",
)

KOREAN = Texts(
    language="ko",
    title="로그인된 기기",
    introduction="회원님의 계정에 로그인되어 있는 기기입니다. "
    "모르는 기기가 있으면 로그아웃해 주세요.",
    this_device="현재 기기",
    impersonated_by="{} 님이 대신 사용하고 있습니다",
    address="IP 주소",
    logged_in="로그인",
    last_seen="마지막 활동",
    log_out="로그아웃",
    log_out_of="{} 로그아웃",
    log_out_others="다른 모든 기기에서 로그아웃",
    log_out_everywhere="모든 기기에서 로그아웃",
    log_out_question=Notice(
        "로그아웃하시겠습니까?",
        "다른 사이트나 링크를 통해 이 페이지로 이동했습니다. 아직 로그아웃되지 않았습니다.",
    ),
    logged_out=Notice("로그아웃되었습니다", "이 페이지를 닫거나 다시 로그인하실 수 있습니다."),
    only_device="다른 기기에는 로그인되어 있지 않습니다.",
    others_unknown="로그인 정보로 사용자를 확인할 수 없어 다른 기기를 표시할 수 없습니다.",
    not_listed=("표시되지 않은 기기가 {}대 더 있습니다.", "표시되지 않은 기기가 {}대 더 있습니다."),
    back="기기 목록으로 돌아가기",
    again="다시 로그인",
    log_in=Notice("로그인", "계속하려면 로그인해 주세요."),
    log_in_with="{} 계정으로 로그인",
    user_name="사용자 이름",
    password="비밀번호",  # noqa: S106 (the word)
    remember_me="로그인 상태 유지",
    notices={
        **dict.fromkeys(
            (
                "no_key",
                "invalid_key",
                "invalid_refresh_key",
                "not_a_key",
                "token_not_key",
                "several_keys",
            ),
            _LOG_IN,
        ),
        "login_too_old": Notice(
            "다시 로그인해 주세요", "이 페이지를 보려면 최근에 로그인한 상태여야 합니다."
        ),
        "cross_site": Notice(
            "요청이 차단되었습니다",
            "다른 사이트에서 보낸 요청이므로 처리하지 않았습니다. 변경된 내용은 없습니다.",
        ),
        "key_not_read": Notice(
            "다시 로그아웃해 주세요",
            "키가 올바른 위치로 전송되지 않아 아직 로그인되어 있을 수 있습니다.",
        ),
        "unknown_subject": Notice(
            "다른 기기는 아직 로그인되어 있습니다",
            "로그인 정보로 사용자를 확인할 수 없어 다른 기기를 찾지 못했습니다. "
            "각 기기에서 직접 로그아웃해 주세요.",
        ),
        "no_session": Notice(
            "기기를 찾을 수 없습니다",
            "이미 로그아웃된 기기일 수 있습니다.",
        ),
        "too_many_attempts": Notice(
            "로그인에 너무 많이 실패했습니다",
            "잠시 기다린 후 다시 시도해 주세요.",
        ),
        "maintenance": Notice(
            "점검 중입니다",
            "곧 다시 이용하실 수 있습니다. 잠시 후에 다시 시도해 주세요.",
        ),
        "rate_limited": Notice(
            "요청이 너무 많습니다",
            "짧은 시간에 요청을 너무 많이 보냈습니다. 잠시 기다린 후 다시 시도해 주세요.",
        ),
        **dict.fromkeys(("forbidden", "insufficient_scope"), _FORBIDDEN),
        "bad_login": Notice(
            "입력하지 않은 항목이 있습니다", "사용자 이름과 비밀번호를 입력해 주세요."
        ),
        "wrong_login": Notice(
            "이름 또는 비밀번호가 올바르지 않습니다",
            "입력한 내용을 확인한 후 다시 시도해 주세요.",
        ),
        **dict.fromkeys(("no_route", "ambiguous_path", "ambiguous_host"), _NOT_FOUND),
        **dict.fromkeys(("upstream_timeout", "upstream_unreachable", "upstream_closed"), _AWAY),
        **dict.fromkeys(("renewal_failed", "upstream_invalid"), _AWAY),
        **dict.fromkeys(("upstream_down", "circuit_open"), _AWAY),
        **dict.fromkeys(("busy", "too_many_at_once", "over_share"), _BUSY),
        **dict.fromkeys(("upstream_full", "streams_full"), _BUSY),
        **dict.fromkeys(("overloaded", "concurrency_limited"), _BUSY),
        "login_lost": Notice(
            "로그인 시간이 만료되었습니다",
            "시간이 너무 오래 걸렸거나, 이미 처리된 로그인이거나, 다른 브라우저에서 시작한 "
            "로그인입니다. 다시 로그인해 주세요.",
        ),
        "login_denied": Notice(
            "로그인되지 않았습니다",
            "로그인이 취소되었거나 로그인 서비스에서 거부되었습니다. 다시 시도할 수 있습니다.",
        ),
        **dict.fromkeys(("provider_unavailable", "users_unavailable"), _NO_LOGIN),
        **dict.fromkeys(("provider_invalid", "no_jwt", "no_realm"), _MISFIT),
        "sessions_left": Notice(
            "다른 기기가 아직 로그인되어 있을 수 있습니다",
            "요청은 처리되었지만 지금은 다른 기기를 로그아웃할 수 없습니다. 잠시 후 모든 기기에서 "
            "로그아웃해 주세요.",
        ),
        "store_unavailable": Notice(
            "잠시 후 다시 시도해 주세요",
            "지금은 로그인 정보를 확인할 수 없어 요청이 처리되지 않았을 수 있습니다.",
        ),
    },
    failure=Notice("요청을 처리하지 못했습니다", "요청하신 작업을 완료할 수 없습니다."),
    just_now="방금 전",
    minutes=("{}분 전", "{}분 전"),
    hours=("{}시간 전", "{}시간 전"),
    days=("{}일 전", "{}일 전"),
    browser_on_system="{} ({})",
    devices={
        "Unknown device": "알 수 없는 기기",
        "Android app": "Android 앱",
        "Flutter app": "Flutter 앱",
        "iOS app": "iOS 앱",
    },
)
