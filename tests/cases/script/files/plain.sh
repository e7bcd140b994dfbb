echo no shebang; echo "$1"
