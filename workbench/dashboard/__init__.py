"""The page: a Panel server that shows runs live and sends them commands; it never trains itself."""
