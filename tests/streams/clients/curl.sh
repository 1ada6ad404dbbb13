#!/bin/sh
# `curl -N`: URL KEY. Prints each event as `event id data`.
curl --no-buffer --silent --show-error --fail --noproxy '*' --header "API-KEY: $2" "$1" |
    while IFS= read -r line; do
        case $line in
            "event: "*) event=${line#event: } ;;
            "id: "*) id=${line#id: } ;;
            "data: "*) data=${line#data: } ;;
            "") printf '%s %s %s\n' "$event" "${id:--}" "$data"; event='' id='' data='' ;;
        esac
    done
