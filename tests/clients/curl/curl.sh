#!/bin/bash
# curl shows a stream. The program around it has to reconnect with the last id, after the last `retry`.
url=$1 last='' retry=1000
status=$(mktemp)
trap 'rm -f "$status"' EXIT

tell() {
  local text=${data//\\/\\\\}
  printf '{"event":"%s","id":"%s","data":"%s"}\n' "$event" "$last" "${text//\"/\\\"}"
}

while :; do
  headers=()
  [[ $last ]] && headers=(-H "Last-Event-ID: $last")
  event='' id=$last data='' has_data=''
  while IFS= read -r line; do
    value=${line#*: }
    case $line in
      event:*) event=$value ;;
      id:*) id=$value ;;
      retry:*) retry=$value ;;
      data:*) data=$value has_data=yes ;;
      '') last=$id; [[ $has_data ]] && tell; event='' data='' has_data='' ;;
    esac
  done < <(curl -sN -w '%{stderr}%{http_code}' "${headers[@]}" "$url" 2> "$status")
  if [[ $(< "$status") == 204 ]]; then
    echo '{"closed":"204"}'
    exit
  fi
  printf '{"error":"the stream is over, status %s"}\n' "$(< "$status")"
  sleep "$((retry / 1000)).$(printf %03d $((retry % 1000)))"
done
