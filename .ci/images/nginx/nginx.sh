#!/bin/sh
# The binary was built with relative default paths. A later -p or -e of the caller's wins.
exec /usr/lib/nginx/nginx -p /etc/nginx/ -e /var/log/nginx/error.log "$@"
