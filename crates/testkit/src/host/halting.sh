#!/bin/sh
# Put before a CNI plugin, under its name: stops itself before or after the real
# one runs, or fails in its place, where a test says so. The places are called
# plugin.COMMAND.NAME.before and plugin.COMMAND.NAME.after.
name=${0##*/}
at() {
    place=plugin.$CNI_COMMAND.$name.$1
    [ "${IGNITE_HALT_AT-}" != "$place" ] || kill -STOP $$
    [ "${IGNITE_FAIL_AT-}" != "$place" ] || {
        echo '{"cniVersion":"0.4.0","code":100,"msg":"told to fail"}'
        exit 1
    }
}
at before
answer=/opt/answer.$$
/usr/lib/cni/"$name" > "$answer"
code=$?
at after
cat "$answer"
rm "$answer"
exit $code
